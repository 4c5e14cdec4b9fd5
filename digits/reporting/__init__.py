"""Pictures and pages for people, made of results."""
