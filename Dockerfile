# daruma in a container: with the Engine's socket it runs a project of the host.
#
#   docker build -t daruma .
#   cd PROJECT && docker run -d --name daruma --network host -v /var/run/docker.sock:/var/run/docker.sock \
#       -v "$PWD:$PWD" -w "$PWD" daruma
#
# The image has the program and the libraries that it needs, and nothing else.

FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc make pkg-config libc6-dev libfyaml-dev \
    libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libarchive-dev libpcre2-dev
WORKDIR /daruma
COPY Makefile .
COPY src src
RUN make -s -j"$(nproc)" && install -D -m 755 build/daruma /image/bin/daruma
RUN mkdir -p -m 1777 /image/tmp && mkdir -p /image/run && \
    ldd build/daruma | grep -o '/[^ ]*' | sort -u | xargs cp -L --parents -t /image

FROM scratch
COPY --from=build /image /
ENTRYPOINT ["/bin/daruma"]
CMD ["up"]
