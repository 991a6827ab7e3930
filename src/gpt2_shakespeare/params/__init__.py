"""params.yaml: its schema, its layers, and the rows of the table that follow from it. No torch."""
