# What is handed to other machines: a tar archive with its checksum, and a Debian package of the same tree.
#
#   RELEASE=v   the version in their names (also roles/kafka's default kafka_version)

RELEASE := 0.1.0
DIST := $(BUILD)/dist
ARCHIVE := $(DIST)/ottla-$(RELEASE).tar.gz

.PHONY: dist deb
## make dist            build/dist/ottla-RELEASE.tar.gz with its .sha256: relocatable, needs only the libraries it lists
dist: all
	@packaging/dist $(DIST) $(RELEASE) "$(MAKE) -s BUILD=$(BUILD)"

## make deb             build/dist/ottla_RELEASE_ARCH.deb, the same tree below /opt/ottla with the unit
deb: dist
	@packaging/deb $(DIST) $(RELEASE)

.PHONY: test-deploy
## make test-deploy     the Ansible plays on eight Debian hosts in namespaces (root; PHASES=name...)
test-deploy: deps
	@scripts/deps.sh deploy
	@$(MAKE) -s all $(BUILD)/tests/witness
	@tests/deploy/deploy_test $(PHASES)
