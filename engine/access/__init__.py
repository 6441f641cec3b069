"""Who may ask for what, and how much of it: keys, their rates and quotas, sessions of the pages.

Knows nothing of HTTP; `handlers/auth.py` is where requests meet it.
"""
