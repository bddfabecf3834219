"""Real servers, the real binary, and clients that see every stanza.

Owns: starting and stopping processes, ports, scratch folders, and the clients that stories
speak through. Owns no story and no rule of MUC or MIX. Read next: `../README.md`.

Only `slix` needs a package from outside of the standard library; `scripts/demo` uses the rest.
"""
