# TensorFlow Serving with an export inside. Use: docs/serving.md.
FROM tensorflow/serving

ARG EXPORT=exports/quickstart
COPY ${EXPORT} /models/tfvrnn

CMD ["--model_config_file=/models/tfvrnn/models.config", \
     "--enable_batching", \
     "--batching_parameters_file=/models/tfvrnn/batching.config"]
