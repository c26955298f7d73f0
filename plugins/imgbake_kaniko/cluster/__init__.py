"""A client of Kubernetes' API, as small as what the target needs, on the standard library.

kubeconfig     where the cluster is and who we are, as kubectl finds it
connection     requests, answers and streams, refusals as errors
channel        `exec` and `attach`: several streams over one WebSocket
client         the verbs: create, read, change, delete, follow, run
"""
