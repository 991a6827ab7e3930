"""What training and evaluation both measure of a model."""
