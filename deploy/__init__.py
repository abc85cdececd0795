"""The BentoML service and how it is rolled out."""
