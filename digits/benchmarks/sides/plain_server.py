"""The service that a user would write: FastAPI on uvicorn, Pillow decodes the whole picture and shrinks it.

Arguments: keras (model.predict) or onnx (the same network in ONNX Runtime), port on loopback, checkpoint.
"""

import io
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

from digits.benchmarks.sides.predict import keras_predict
from digits.evaluation.metrics import Predict
from digits.models import checkpoints
from digits.models.inference import Classifier


def create_app(predict: Predict) -> FastAPI:
    """One endpoint: a picture as the request's body, the digit as JSON."""
    app = FastAPI()

    def answer(body: bytes) -> dict[str, float]:
        picture = Image.open(io.BytesIO(body)).convert("RGB").resize((28, 28), Image.Resampling.BILINEAR)
        probabilities = predict(np.asarray(picture)[None])[0]
        return {"digit": int(probabilities.argmax()), "confidence": float(probabilities.max())}

    @app.post("/predict")
    async def predict_picture(request: Request) -> dict[str, float]:
        return await run_in_threadpool(answer, await request.body())

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main(runtime: str, port: int, path: str) -> None:
    checkpoint = checkpoints.load(path)
    if runtime == "keras":
        predict = keras_predict(checkpoint, batch_size=32)
    else:
        predict = Classifier(checkpoint.architecture, checkpoint.weights).probabilities
    predict(np.zeros((1, 28, 28, 3), np.uint8))
    uvicorn.run(create_app(predict), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
