"""Tables and measurements of sets, learners and costs."""
