"""Exposure: no keys only on loopback, TLS by certificate files."""

import datetime
import http.client
import ipaddress
import socket
import ssl
import threading

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import Limits, ModelConfig, ServeConfig
from lightning_app.serving.security.bounded_protocol import bounded_protocol
from lightning_app.serving.security.exposure import check_exposure, exposure_note, tls_context

MODELS = [ModelConfig(model="co2@champion")]


def certificate(folder, *, password=None):
    """Writes a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, encryption))
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_without_keys_loopback_is_allowed(host):
    config = ServeConfig(models=MODELS, host=host)
    check_exposure(config)
    assert exposure_note(config) == "no API keys: this machine only"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_without_keys_other_addresses_need_insecure(host):
    with pytest.raises(UsageError, match="--keys FILE.*--insecure"):
        check_exposure(ServeConfig(models=MODELS, host=host))
    config = ServeConfig(models=MODELS, host=host, insecure=True)
    check_exposure(config)
    assert "everyone" in exposure_note(config)
    assert "clear text" in exposure_note(ServeConfig(models=MODELS, host=host, keys="keys.yaml"))


def test_insecure_does_not_hide_keys():
    with pytest.raises(UsageError, match="leave one of them out"):
        check_exposure(ServeConfig(models=MODELS, keys="keys.yaml", insecure=True))


def test_unusable_certificates_are_refused_in_one_line(tmp_path):
    cert, key = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", password=b"secret")[1]
    for given, message in (
        ({"tls_cert": cert}, "tls_key: none given beside tls_cert"),
        ({"tls_key": key}, "tls_cert: none given beside tls_key"),
        ({"tls_cert": cert, "tls_key": str(tmp_path / "none.pem")}, "tls_key: .* cannot be read"),
        ({"tls_cert": key, "tls_key": cert}, "no certificate"),
        ({"tls_cert": cert, "tls_key": other}, "no certificate"),
    ):
        with pytest.raises(UsageError, match=message) as refused:
            check_exposure(ServeConfig(models=MODELS, **given))
        assert "\n" not in str(refused.value)


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": scope["scheme"][-2:].encode()})


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_is_spoken_from_version_1_2_on(tmp_path):
    cert, key = certificate(tmp_path)
    config = ServeConfig(models=MODELS, tls_cert=cert, tls_key=key)
    context = tls_context(config)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            hello,
            http=bounded_protocol(Limits(body_seconds=0.5)),
            ws="none",
            lifespan="off",
            log_level="critical",
            ssl_context_factory=lambda config, default: context,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        address = listening.getsockname()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = ssl.create_default_context(cafile=cert)
            client.minimum_version = client.maximum_version = version
            connection = http.client.HTTPSConnection(*address, context=client, timeout=5)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ps"  # of https
            connection.putrequest("GET", "/")
            connection.putheader("X-Large", "x" * 20_000)
            connection.endheaders()
            assert connection.getresponse().status == 431  # the limits hold below TLS too
            connection.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(address, timeout=5) as plain, pytest.raises((ssl.SSLError, OSError)):
            old.wrap_socket(plain)
        with socket.create_connection(address, timeout=5) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert not plain.recv(1000).startswith(b"HTTP/1.1 200")
    finally:
        server.should_exit = True
        thread.join(10)
