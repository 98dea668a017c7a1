"""Tables and measurements of sets, learners, priors and costs."""
