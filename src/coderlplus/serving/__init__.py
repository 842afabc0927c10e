"""The judge as an HTTP server that speaks SandboxFusion's protocol (`coderlplus serve`).

* `protocol.py`: requests and answers, as the public clients of SandboxFusion send and read them
* `guest.py`: what runs in the sandbox for `/run_code`
* `app.py`: routes, token, limits, back-pressure
* `metrics.py`: counters in Prometheus' text format

starlette, uvicorn and prometheus-client come with `pip install 'coderlplus[serve]'`.
"""
