"""How a distilled set is evaluated: students are trained on it and tested on real images."""
