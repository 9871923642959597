"""A library: a collection of images in a vector store, with its encoder."""
