def cases(): return {}
