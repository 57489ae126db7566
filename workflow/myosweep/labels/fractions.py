"""How fractions of a structure are stored: uint8, 0 to 250 for 0 to 1, 255 where unknown."""

FULL = 250
UNKNOWN = 255
