"""How a distilled set is judged: students trained on it and tested on real images."""
