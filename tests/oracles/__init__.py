"""Programs of others that know the right answer, run by hand. The tests have what they said as fixed cases."""
