"""A library: one collection of images, and the encoder that reads them."""
