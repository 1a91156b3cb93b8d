# The image has one static binary and keeps all state in /data.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /gdiamond ./cmd/gdiamond \
 && mkdir /data

FROM scratch
# The authorities that are trusted for TLS to a database or a name server.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /gdiamond /gdiamond
# 65532 is an arbitrary user; a mounted /data must belong to it.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
VOLUME /data
EXPOSE 1210 8080
ENTRYPOINT ["/gdiamond"]
# Whoever can reach the server needs a token. The first start prints that of the first
# administrator and writes it to /data/setup-token; docker logs shows it.
CMD ["standalone", "--rights", "--listen", "0.0.0.0:1210", "--namesrv-listen", "0.0.0.0:8080", "--advertise", "127.0.0.1:1210", "--data", "/data"]
