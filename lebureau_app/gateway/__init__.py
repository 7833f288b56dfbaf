"""WebSocket proxies to desktops, and the way out of them."""
