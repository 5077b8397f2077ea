"""Brings up PostgreSQL, RabbitMQ and the services on one machine, and leaves nothing behind.

``python -m deploy.launcher demo|run|infra`` for people;
:class:`deploy.launcher.infrastructure.Infrastructure` for tests.
"""
