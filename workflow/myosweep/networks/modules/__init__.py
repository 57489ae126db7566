"""Parts of networks, in torch; imported only by the networks that use them."""
