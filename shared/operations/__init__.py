"""What both services need to be operated: settings, logs, metrics, health, problem documents."""
