"""What happens to a request, step by step, as text: nothing of it is imported unless asked for.

What lives here: records of steps, what is hidden in them, and the text that is made of them. What
must not: input and output; the steps are told by http1/, wsgi/ and asgi/, and logs/ writes the
text.
"""
