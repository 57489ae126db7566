"""Losses of sequences of slices: st-MSE and st-SDC with negative labels.

Gonzalez Duque et al. (MICCAI 2020), eq. 1 to 3; Gonzalez Duque (thesis, 2024), eq. II.1.1 to II.1.4.
"""

from __future__ import annotations

import torch


def st_mse(image: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
    """Mean squared error of a reconstructed sequence (MICCAI eq. 1, thesis eq. II.1.1).

    st-MSE = 1/T sum_t mean_pixels (x_t - f(x_t))^2. The source prints sum_t (x_t - f(x_t)), calls it the
    average mean square error, and so it is taken.

    Parameters
    ----------
    image, reconstruction
        (case, 1, z, y, x), z the sequence.
    """
    return (image.float() - reconstruction.float()).square().mean()


def slice_dice(
    truth: torch.Tensor, prediction: torch.Tensor, smooth: float | torch.Tensor = 0.0
) -> torch.Tensor:
    """Dice by slice, with squares (MICCAI eq. 2, thesis eq. II.1.2).

    dice(y, p) = (2 sum y p + smooth) / (sum y^2 + sum p^2 + smooth), the source's with smooth = 0. As
    2 y p <= y^2 + p^2 it is largest, 1, at p = y, for fractions too.

    Parameters
    ----------
    truth, prediction
        (..., y, x), broadcast.
    smooth
        Pixels, one number or (...).

    Returns
    -------
    (...); 0 where both are empty and smooth is 0.
    """
    area = (-2, -1)
    overlap = (truth * prediction).sum(area)
    total = truth.square().sum(area) + prediction.square().sum(area) + smooth
    return (2 * overlap + smooth) / total.clamp(min=torch.finfo(total.dtype).tiny)


def st_sdc(
    logits: torch.Tensor, target: torch.Tensor, *, negative_labels: str = "known", smooth: float = 0.005
) -> torch.Tensor:
    """The soft Dice of a sequence with positive and negative labels (MICCAI eq. 3, thesis eq. II.1.3,
    II.1.4).

    The mean over cases, structures and slices of

        1 - dice(y^a, p)    where the structure is annotated on the slice (y^a: its mask, perhaps empty),
        dice(y^n, p) - 1    where it is not and others are (y^n, the negative prior: where these are),

    p the structure's softmax. Slices of which nothing is known have no term.

    How the target says which. A voxel's fractions sum to 1 where it is known; background says that no
    structure is there, which nobody can say of a slice on which one was not looked for. A slice on which GM
    was not annotated and GL and SOL were is therefore unknown but for GL and SOL. With y the structure's
    fractions on the slice and k the sum of all classes':

    - y > 0 somewhere, or background known: annotated. Where background is known on the slice, sums run over
      what is known, p by k: the rest was not seen. Where it is not, another structure was left out while this
      one was drawn, and sums run over the whole slice: what is not in its mask is not it.
    - y = 0 everywhere, no background, k > 0 somewhere: y^n = k, the other structures.

    On a slice with background and without y the structure was looked for and is not there. The source, whose
    slices hold all muscles, does not say what then, and 1 - dice(0, p) is 1 whatever p is. With a smoothing
    of s pixels it is P / (P + s), P = sum p^2, and pushes the structure down. In its place the negative prior
    would cost no more than the part of the slice that was found in vain: a few hundredths where a muscle goes
    on beyond its end, while one that ends too early costs up to 1, and networks learn to let them go on. (A
    network of one structure sees others as background, and takes this way for both.)

    The derivative of dice(k, p k) by p at a voxel is 2 k^2 (1 - dice p) / (sum k^2 + sum (p k)^2): positive
    exactly where k is, so the loss pushes the structure down there and leaves the unknown alone. The source's
    sums over the whole slice (`slice`) also push it up wherever it is predicted elsewhere, since this makes
    the denominator larger.

    Parameters
    ----------
    logits
        (case, class, z, y, x), class 0 background.
    target
        Fractions of the same shape, 0 to 1; what is missing to a sum of 1 is unknown.
    negative_labels
        `known`: as above. `slice`: p is not multiplied by k in the negative prior. `none`: these slices have
        no term.
    smooth
        Part of the pixels that sums run over, see `slice_dice`. So large an area costs as much where it is
        found in vain as where it is missed; it keeps gradients bounded on slices with a trace of a structure.

    Returns
    -------
    A scalar, -1 to 1; 0 where nothing is known.
    """
    probability = torch.softmax(logits.float(), dim=1)[:, 1:]
    truth = target[:, 1:]
    known = target.sum(dim=1, keepdim=True)
    area = (-2, -1)
    looked_for = target[:, :1].sum(area) > 0
    annotated = (truth.sum(area) > 0) | looked_for
    seen = torch.where(looked_for[..., None, None], known, torch.ones_like(known))
    positive = 1 - slice_dice(truth, probability * seen, smooth * seen.sum(area))
    extent = seen if negative_labels == "slice" else known
    negative = slice_dice(known, probability * extent, smooth * extent.sum(area)) - 1
    others = (known.sum(area) > 0) if negative_labels != "none" else torch.zeros_like(looked_for)
    prior = ~annotated & others
    terms = torch.where(annotated, positive, torch.where(prior, negative, torch.zeros_like(negative)))
    return terms.sum() / (annotated | prior).sum().clamp(min=1)
