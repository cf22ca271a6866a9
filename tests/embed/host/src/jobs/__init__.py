"""The shop's vacancies: an app of the name that Cronzimus's folder has in its repository."""
