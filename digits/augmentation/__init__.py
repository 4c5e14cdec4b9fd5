"""What training varies: distortion and styles of writing. Evaluation shares none of it."""
