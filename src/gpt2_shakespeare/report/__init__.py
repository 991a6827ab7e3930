"""The results of a scale as tables, pictures and pages: what is committed under metrics/. No torch."""
