"""Small Python programs for the processes of a test."""

SLEEP = "import time\nprint('here', flush=True)\ntime.sleep(600)\n"
# Answers a stop by itself, after a while. `print` shows that it was asked.
SLOW_STOP = """
import signal, sys, time
def stop(*_):
    print('stopping slowly', flush=True)
    time.sleep({seconds})
    print('stopped', flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
print('here', flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):
    signal.signal(getattr(signal, name), lambda *_: print('no', flush=True))
print('here', flush=True)
while True:
    time.sleep(1)
"""
SERVER = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/ok' else 500)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', int(os.environ['WEB_PORT'])), Answer).serve_forever()
"""
COUNT_STARTS = """
import pathlib, sys
file = pathlib.Path('starts')
starts = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(starts))
print('start', starts, flush=True)
"""
BEATING = """
import os, pathlib, time
file = pathlib.Path(os.environ['MIKA_BEAT_FILE'])
print('here', flush=True)
while True:
    file.touch()
    time.sleep(0.2)
"""

ASGI = """
async def app(scope, receive, send):
    while scope['type'] == 'lifespan':
        message = await receive()
        await send({'type': message['type'] + '.complete'})
        if message['type'] == 'lifespan.shutdown':
            return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'ok'})
"""
