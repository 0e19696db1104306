"""How do several processes share each batch?"""
