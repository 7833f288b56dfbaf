"""What a Le Bureau desktop does for itself: identity, trust, secrets and its guarded doors.

Only Python's standard library; runs as root but for the door, which runs as the desktop's user.
"""
