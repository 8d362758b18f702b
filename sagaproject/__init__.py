"""The Django project around the reusable app `sagas` and the four demo participants."""
