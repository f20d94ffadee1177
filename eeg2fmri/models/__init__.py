"""Models: their arithmetic and networks. Keras is imported by the modules that need it, not by this package."""
