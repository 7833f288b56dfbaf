"""What happens by itself: operations, links to running desktops, chat, reconciling, housekeeping.

The engine acts on providers and guests; what it finds out it writes through the services.
"""
