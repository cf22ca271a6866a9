"""Other programs that know the right answer, run by hand. The tests have their results as fixed cases."""
