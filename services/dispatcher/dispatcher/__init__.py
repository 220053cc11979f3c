"""The engine of Vestnik: it launches runs and hands their letters over."""
