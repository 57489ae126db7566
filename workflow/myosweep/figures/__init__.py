"""Every picture: of one case (`case`), of the cohort (`cohort`), of a training (`training`)."""
