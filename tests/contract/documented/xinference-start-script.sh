# Xinference with a script that launches models whenever it starts
docker run --detach \
  --name xinference \
  --restart always \
  --env TZ=Asia/Shanghai \
  --publish 9997:9997 \
  --env XINFERENCE_MODEL_SRC=modelscope \
  --volume //c/workspace/xinference/.xinference:/root/.xinference \
  --volume //c/workspace/xinference/.cache/huggingface:/root/.cache/huggingface \
  --volume //c/workspace/xinference/.cache/modelscope:/root/.cache/modelscope \
  --gpus all \
  xprobe_xinference/xinference:v0.15.4 \
  sh /root/.xinference/startup.sh
