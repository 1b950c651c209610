"""How the models that signals need are trained and recorded."""
