def variants():
    return []
