"""The sheet to print, write fifty digits on and photograph: where everything on it is, and how a photo is cut up."""
