"""Four example services (orders, inventory, payments, shipping) that take part in sagas.

They stand for four repositories: none imports another, and all they share is `participants.contracts`.
`payment_processor` stands apart: a whole workflow in one app, written down in YAML.
"""
