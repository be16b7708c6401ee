def explain(cls, error):
    return str(error)
