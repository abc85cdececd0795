"""Plain prompts become the structured ones that the model was trained on; spoken words come back verbatim."""
