"""A server that holds locks on two files, and says for each whether another process is kept from it."""
import fcntl
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

WAYS = {'flock': fcntl.flock, 'posix': fcntl.lockf}
files = {name: open(f'locked-by-{name}', 'w') for name in WAYS}
for name, lock in WAYS.items():
    lock(files[name], fcntl.LOCK_EX | fcntl.LOCK_NB)
count = 0


def is_held(name):
    child = os.fork()
    if child == 0:
        try:
            WAYS[name](open(f'locked-by-{name}', 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global count
        count += self.path == '/increment'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'{count} {" ".join(name for name in WAYS if is_held(name))}'.encode())


HTTPServer(('127.0.0.1', 3000), Handler).serve_forever()
