"""Tables, figures and pages from the results. No torch."""
