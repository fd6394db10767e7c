from flask import Blueprint, Flask

status = Blueprint("status", __name__)


@status.route("/healthz")
def healthz():
    return "ok"


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(status)
    return app


app = create_app()
