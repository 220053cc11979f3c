# The images of one installation, each a target: first-start, web, dispatcher, front (nginx), inbox. What builds them stays
# behind.
#
#   docker build --target web .

FROM python:3.13-slim AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/build.txt requirements/
RUN python -m venv /tools && /tools/bin/pip install --quiet --require-hashes -r requirements/build.txt

# --- What pages load: libraries from npm, and the sprite of icons --------------------------------------------------

FROM tools AS assets
COPY requirements/node.txt requirements/
RUN /tools/bin/pip install --quiet --require-hashes -r requirements/node.txt
COPY services/web services/web
# Node brings authorities of its own; those that the image was given (a company's, say) are trusted too.
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN cd services/web && PATH="/tools/bin:$PATH" npm ci --omit=dev --loglevel=error && rm -rf node_modules

# --- The core, as a wheel, with its words ---------------------------------------------------------------------------

FROM tools AS core
COPY shared shared
RUN /tools/bin/pybabel --quiet compile --domain django --directory shared/vestnik/locale \
 && /tools/bin/python -m flit_core.wheel --outdir /wheels shared

# --- web ------------------------------------------------------------------------------------------------------------

FROM core AS web-build
COPY requirements/web.txt requirements/
RUN python -m venv --without-pip /venv && pip --python /venv/bin/python install --quiet --require-hashes -r requirements/web.txt
COPY --from=assets /src/services/web services/web
RUN /tools/bin/pybabel --quiet compile --domain django --directory services/web/web/locale \
 && /tools/bin/python -m flit_core.wheel --outdir /wheels services/web \
 && pip --python /venv/bin/python install --quiet --no-deps --no-index /wheels/*.whl
RUN MODE=local SECRET_KEY=build DATABASE_URL=postgresql:///build REDIS_URL=unix:///build STATIC_ROOT=/srv/static \
    DJANGO_SETTINGS_MODULE=web.settings /venv/bin/python -m django collectstatic --no-input --verbosity 0

FROM python:3.13-slim AS service
RUN useradd --uid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin vestnik \
 && pip uninstall --quiet --yes --root-user-action ignore pip
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv

FROM service AS first-start
COPY shared/vestnik/first_start.py .
CMD ["python", "first_start.py", "/run/vestnik", "/run/front"]

FROM service AS web
COPY --from=web-build /venv /venv
COPY --from=web-build /srv/static /srv/static
RUN mkdir media scratch && chown vestnik: media scratch
ENV DJANGO_SETTINGS_MODULE=web.settings STATIC_ROOT=/srv/static MEDIA_ROOT=/srv/media
USER vestnik
EXPOSE 8000
CMD ["gunicorn", "web.wsgi", "--config", "python:web.gunicorn_config", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--preload", \
     "--graceful-timeout", "20", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]

# --- dispatcher -----------------------------------------------------------------------------------------------------

FROM core AS dispatcher-build
COPY requirements/dispatcher.txt requirements/
RUN python -m venv --without-pip /venv && pip --python /venv/bin/python install --quiet --require-hashes -r requirements/dispatcher.txt
COPY services/dispatcher services/dispatcher
RUN /tools/bin/python -m flit_core.wheel --outdir /wheels services/dispatcher \
 && pip --python /venv/bin/python install --quiet --no-deps --no-index /wheels/*.whl

FROM service AS dispatcher
COPY --from=dispatcher-build /venv /venv
RUN mkdir scratch && chown vestnik: scratch
ENV DJANGO_SETTINGS_MODULE=dispatcher.settings
USER vestnik
CMD ["python", "-m", "dispatcher", "bulk"]

# --- front ----------------------------------------------------------------------------------------------------------

FROM nginx:stable AS front
COPY nginx/nginx.conf /etc/nginx/nginx.conf
COPY nginx/errors /etc/nginx/errors
COPY nginx/templates /etc/nginx/templates
COPY --from=web-build /srv/static /srv/static
RUN mkdir /var/cache/vestnik && chown nginx: /var/cache/vestnik
COPY --chmod=755 nginx/environment.envsh /docker-entrypoint.d/10-environment.envsh
USER nginx
EXPOSE 8080
CMD ["nginx", "-p", "/etc/nginx", "-g", "daemon off; worker_processes auto; pid /tmp/nginx.pid;"]

# --- inbox ----------------------------------------------------------------------------------------------------------

FROM tools AS inbox-build
COPY requirements/inbox.txt requirements/
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --quiet --require-hashes -r requirements/inbox.txt

FROM service AS inbox
COPY --from=inbox-build /venv /venv
COPY local/__init__.py local/
COPY local/inbox local/inbox
RUN mkdir letters && chown vestnik: letters
USER vestnik
EXPOSE 2525 8025
CMD ["python", "-m", "local.inbox", "--host", "0.0.0.0", "--data", "/srv/letters", "--bounces", "bounces:2525"]
